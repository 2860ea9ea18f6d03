// Calls of the server's API with the key of this tab. Paths are those of its documentation.

const ROOT = new URL("..", import.meta.url); // of wherever the server is mounted
const KEPT = "apprentice.key";
const AGAIN_MS = 1000;

export class ApiError extends Error {
  constructor(message, { status, code, param } = {}) {
    super(message);
    Object.assign(this, { status, code, param });
  }
}

let asking = null;
let askForKey = async () => null;

/** Who is asked for a key when the server wants one. */
export function onKeyWanted(ask) {
  askForKey = ask;
}

export const keptKey = () => sessionStorage.getItem(KEPT);
export const keepKey = (key) => (key ? sessionStorage.setItem(KEPT, key) : sessionStorage.removeItem(KEPT));

async function call(method, path, { query, body, headers, signal } = {}) {
  const url = new URL(path.replace(/^\//, ""), ROOT);
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const one of [value].flat()) if (one != null && one !== "") url.searchParams.append(name, one);
  }
  const key = keptKey();
  const response = await fetch(url, {
    method,
    signal,
    body: body === undefined ? undefined : JSON.stringify(body),
    headers: {
      ...(key ? { Authorization: `Bearer ${key}` } : {}),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    },
  });
  if (response.status === 401 && keptKey() === key) {
    // Many parts of a page may be refused at once: one question for all.
    asking ??= askForKey(key ? "This key is not known here, or not any more." : "").finally(() => {
      asking = null;
    });
    if (await asking) return call(method, path, { query, body, headers, signal });
  }
  if (!response.ok) throw await refused(response);
  return response;
}

async function refused(response) {
  const { status } = response;
  try {
    const { message, code, param } = (await response.json()).error;
    return new ApiError(message, { status, code, param });
  } catch {
    return new ApiError(`the server answered ${status} ${response.statusText}`, { status });
  }
}

const read = async (response) => (response.status === 204 ? null : response.json());

export const get = async (path, query, { signal } = {}) => read(await call("GET", path, { query, signal }));
export const post = async (path, body, headers, { signal } = {}) =>
  read(
    await call("POST", path, {
      body,
      headers: headers?.signal ? undefined : headers,
      signal: signal ?? headers?.signal,
    }),
  );
export const put = async (path, body) => read(await call("PUT", path, { body }));
export const patch = async (path, body) => read(await call("PATCH", path, { body }));
export const del = async (path) => read(await call("DELETE", path));
export const blob = async (path, query) => (await call("GET", path, { query })).blob();

/** Follow events until the server ends them; a line that breaks is taken up after the last id that came. */
export async function stream(path, { onEvent, signal, lastId } = {}) {
  for (;;) {
    try {
      const headers = { Accept: "text/event-stream", ...(lastId == null ? {} : { "Last-Event-ID": lastId }) };
      const response = await call("GET", path, { headers, signal });
      await eachEvent(response, (event) => {
        lastId = event.id ?? lastId;
        onEvent(event);
      });
      return;
    } catch (error) {
      if (error instanceof ApiError || error.name === "AbortError") throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      signal?.throwIfAborted();
    }
  }
}

/** What is sent is answered by events; returns the answer's headers. */
export async function converse(path, body, { onEvent, headers, signal } = {}) {
  const response = await call("POST", path, { body, headers: { Accept: "text/event-stream", ...headers }, signal });
  await eachEvent(response, onEvent);
  return response.headers;
}

async function eachEvent(response, onEvent) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value.replaceAll("\r\n", "\n")).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = parsed(block);
      if (event) onEvent(event);
    }
  }
}

function parsed(block) {
  const found = { id: undefined, event: "message", data: [] };
  for (const line of block.split("\n")) {
    const at = line.indexOf(":");
    const [name, value] = at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + 1).replace(/^ /, "")];
    if (name === "data") found.data.push(value);
    else if (name === "id" || name === "event") found[name] = value;
  }
  if (!found.data.length) return null; // a sign of life
  const text = found.data.join("\n");
  return { ...found, data: text === "[DONE]" ? null : JSON.parse(text) };
}
