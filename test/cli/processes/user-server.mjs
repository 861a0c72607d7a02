/** `durable-server.mjs` behind a proxy that names the user in `x-user`. */
import createServer from './durable-server.mjs';

const auth = { trustedProxyUser: { header: 'x-user', from: ['127.0.0.0/8', '::1/128'] } };

export default { factory: createServer, options: { auth } };
