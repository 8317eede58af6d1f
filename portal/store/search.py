"""The search: words of published apps, folded so that people find them as they type them.

Case, diacritics and width make no difference. Where writing has no spaces, each character is a word of its own, and
what somebody types is a phrase of them: 辞書 is found in 日本語辞書.

Triggers note in `apps_unindexed` what has changed, also by a migration or a program of an older schema. A change ends
with `refresh`; a portal that starts and cleanup `catch_up` with the rest.
"""

import re
import sqlite3
from unicodedata import category, normalize

from portal.store.database import Database

SPACELESS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u1100-\u11ff\uac00-\ud7ff"  # Korean, which has spaces, but not within compounds
    "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"  # Chinese characters
    "\u3041-\u30ff\u31f0-\u31ff"  # Japanese syllables
)
_CHARACTER = re.compile(f"[{SPACELESS}]")
_WORD = re.compile(r"[^\W_]+")
BATCH = 500  # apps whose texts are in memory at once, and whose words `catch_up` writes in one transaction
WORDS_MAX = 32  # of a query that count: each common one is compared with all places where it occurs
_VOICED = frozenset("\u3099\u309a")  # marks that make another syllable of a Japanese one


_CHANGED = (
    "SELECT apps_unindexed.number, apps.app_id, apps.name, apps.description,"
    " coalesce(json_extract(manifest, '$.author'), '') FROM apps_unindexed"
    " LEFT JOIN apps ON apps.number = apps_unindexed.number AND published_code IS NOT NULL"
    " LEFT JOIN versions ON versions.app_id = apps.app_id AND version_code = published_code AND status = 'published'"
    " LIMIT ?"
)


def _folded(text: str) -> str:
    """The text without case, width and marks. Marks go first: ordering many of them takes quadratic time."""
    if text.isascii():
        return text.casefold()
    bare = "".join(one for one in text if one in _VOICED or category(one)[0] != "M")
    folded = normalize("NFKC", normalize("NFKC", bare).casefold())
    return "".join(one for one in folded if category(one)[0] != "M")


def _spaced(folded: str) -> str:
    return _CHARACTER.sub(r" \g<0> ", folded)


def expression(query: str) -> str | None:
    """What FTS5 matches with the first words of a query, each of which may be a beginning; None without a word."""
    phrases, left = [], WORDS_MAX
    for word in _WORD.findall(_folded(query)):
        phrase = _spaced(word).split()[:left]
        left -= len(phrase)
        if phrase:
            phrases.append(f'"{" ".join(phrase)}"*')
    return " ".join(phrases) or None


def is_behind(db: sqlite3.Connection) -> bool:
    """Whether something has changed that is not indexed."""
    return db.execute("SELECT 1 FROM apps_unindexed LIMIT 1").fetchone() is not None


def refresh(tx: sqlite3.Connection) -> None:
    """Index what has changed since the last call."""
    while _refresh_batch(tx):
        pass


def catch_up(db: Database) -> None:
    """Index what has changed without a `refresh`, while other writers have their turns. A crash leaves the rest."""
    while is_behind(db.read()):
        with db.write(durable=False) as tx:
            _refresh_batch(tx)


def _refresh_batch(tx: sqlite3.Connection) -> bool:
    """Index some of what has changed; whether there was anything."""
    rows = tx.execute(_CHANGED, (BATCH,)).fetchall()
    for number, *texts in rows:
        tx.execute("DELETE FROM apps_words WHERE rowid = ?", (number,))
        if texts[0] is not None:
            words = (_spaced(_folded(text)) for text in texts)
            tx.execute(
                "INSERT INTO apps_words (rowid, app_id, name, description, author) VALUES (?, ?, ?, ?, ?)",
                (number, *words),
            )
        tx.execute("DELETE FROM apps_unindexed WHERE number = ?", (number,))
    return bool(rows)
