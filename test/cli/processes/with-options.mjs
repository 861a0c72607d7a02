/** `{ factory, options }`, and a timer that would keep the process alive. */
import createServer from './echo-server.mjs';

setInterval(() => {}, 60_000);

export default {
  factory: createServer,
  options: { sessionMode: 'stateless', limits: { bodyBytes: 300 } },
};
