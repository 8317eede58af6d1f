// Signing in with a passkey, and registering one: offered only where the browser has them for this very host.
const section = document.getElementById("passkey");
const host = section.dataset.host;
const fault = document.getElementById("passkey-fault");
const able = isSecureContext && location.hostname === host
  && window.PublicKeyCredential?.parseRequestOptionsFromJSON && window.PublicKeyCredential.parseCreationOptionsFromJSON;

// Why the browser made or used no passkey; it does not tell a person who cancelled from one who has none.
const REASONS = {
  sign: {
    NotAllowedError: `No passkey was used: this browser has none for ${host}, or you cancelled. Use a token, or try again.`,
  },
  make: {
    NotAllowedError: "No passkey was made: you cancelled, or it took too long. Try again.",
    InvalidStateError: `This device already has a passkey for ${host} that lasts as long as this token.`,
    ConstraintError: "This device cannot check that it is you (PIN, fingerprint or face), so it makes no passkey.",
    NotSupportedError: "This device makes no passkey of a kind that the store knows.",
  },
};

class Refusal extends Error {
  constructor(problem) {
    super(problem.errors?.join(" ") ?? problem.detail);
    this.status = problem.status;
  }
}

async function ask(path, body) {
  const sent = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, sent);
  } catch {
    throw new Error("The store cannot be reached. Try again.");
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const problem = await answer.json().catch(() => ({ detail: `The store answered with status ${answer.status}. Try again.` }));
  throw new Refusal(problem);
}

async function attempt(button, kind, work) {
  button.disabled = true;
  fault.hidden = true;
  try {
    await work();
  } catch (error) {
    fault.textContent = REASONS[kind][error.name] ?? error.message;
    fault.hidden = false;
    button.disabled = false;
    button.focus();
  }
}

async function signIn(next) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(await ask("/sign-in/passkey"));
  const credential = await navigator.credentials.get({ publicKey });
  // One that is unknown may be of another application at this host: the device is not told to forget it.
  await ask("/sign-in/passkey", { credential: credential.toJSON() });
  location.assign(next);
}

async function register(token, name) {
  try {
    await make(token, name);
    location.assign("/console/tokens?done=passkey");
  } catch (error) {
    if (error.status !== 401) throw error;
    location.assign("/sign-in?next=/console/tokens"); // the session has ended
  }
}

async function make(token, name) {
  const options = await ask("/console/passkeys/options", { token });
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const credential = await navigator.credentials.create({ publicKey });
  await ask("/console/passkeys", { token, name, credential: credential.toJSON() });
}

if (able) {
  section.hidden = false;
  document.getElementById("passkey-none")?.remove();
  const form = document.getElementById("passkey-form");
  const button = section.querySelector("button");
  if (form) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(button, "make", () => register(form.elements.token.value, form.elements.name.value.trim()));
    });
  } else button.addEventListener("click", () => attempt(button, "sign", () => signIn(section.dataset.next)));
}
