/** For `sojourn serve`. */
import { buildEchoServer } from './echo-server.mjs';

export default (ctx) => buildEchoServer(ctx);
