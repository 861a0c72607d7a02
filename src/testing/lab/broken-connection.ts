/**
 * What `fetch` of Node.js rejects with when the server's process has died, so that a client finds the same errors in a
 * lab and in production. The innermost cause says what the lab did.
 */

/** The connection of a request breaks before its response has begun (`fetch failed`), or within it (`terminated`). */
export function cutConnection(message: 'fetch failed' | 'terminated', why: string): TypeError {
  const closed = Object.assign(new Error('other side closed', { cause: new Error(why) }), { code: 'UND_ERR_SOCKET' });
  closed.name = 'SocketError';
  return new TypeError(message, { cause: closed });
}

const REFUSED = { errno: -111, code: 'ECONNREFUSED', syscall: 'connect', address: '127.0.0.1', port: 80 };

/** No process listens there any more. */
export function refusedConnection(why: string): TypeError {
  const refused = new Error(`connect ECONNREFUSED ${REFUSED.address}:${REFUSED.port}`, { cause: new Error(why) });
  return new TypeError('fetch failed', { cause: Object.assign(refused, REFUSED) });
}
