// Files of unfinished uploads, kept in the browser so that a reload of the page continues by itself.

const DAY = 24 * 3600 * 1000;

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("mosis", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("files");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function within(mode, act) {
  const database = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction("files", mode);
      const request = act(transaction.objectStore("files"));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

// Without room, or in a private window, an upload goes on as long as the page: nobody is helped by a failure here.
export const keep = (id, file) => within("readwrite", (files) => files.put({ file, at: Date.now() }, id)).catch(() => null);
export const forget = (id) => within("readwrite", (files) => files.delete(id)).catch(() => null);
export const kept = async (id) => (await within("readonly", (files) => files.get(id)).catch(() => null))?.file ?? null;

// What other visits left behind.
export async function prune() {
  await within("readwrite", (files) => {
    const walk = files.openCursor();
    walk.onsuccess = () => {
      const cursor = walk.result;
      if (!cursor) return;
      if (cursor.value.at < Date.now() - DAY) cursor.delete();
      cursor.continue();
    };
  }).catch(() => null);
}
