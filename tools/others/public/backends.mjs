import { Redis } from 'ioredis';
import { Pool } from 'undici';

// How the tools reach Redis and the HTTP service: by the libraries of the published server, or by a keep-alive pool.

export function connectRedis() {
  return new Redis(process.env.PUBLIC_REDIS, { enableReadyCheck: false, maxRetriesPerRequest: 3 });
}

const json = { 'content-type': 'application/json' };

/** `fetch`, as the published server uses it. */
export function fetched(url) {
  return {
    getJson: async (path) => (await fetch(url + path)).json(),
    postJson: async (path, body) =>
      (await fetch(url + path, { method: 'POST', headers: json, body: JSON.stringify(body) })).json(),
  };
}

/** A pool of keep-alive connections, without the web's `Request` and `Response`. */
export function pooled(url) {
  const pool = new Pool(url, { connections: 16 });
  const send = async (options) => (await pool.request(options)).body.json();
  return {
    getJson: (path) => send({ method: 'GET', path }),
    postJson: (path, body) => send({ method: 'POST', path, headers: json, body: JSON.stringify(body) }),
  };
}
