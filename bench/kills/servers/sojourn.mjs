import { openHandle } from '../../../dist/index.js';
import { buildServer } from './second-line.mjs';

async function countHandle(id) {
  const handle = await openHandle('counter', id);
  return `${await handle.state.update('n', (n = 0) => n + 1)} ${handle.id}`;
}

export default ({ session, serverOptions }) =>
  buildServer({
    hasSession: session !== undefined,
    serverOptions,
    count: session ? () => session.state.update('n', (n = 0) => n + 1) : countHandle,
  });
