/** Preloaded into published servers: no name of the network resolves, so they answer the same on every machine. */
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import { isIP } from 'node:net';

const { lookup } = dns;
dns.lookup = (hostname, ...rest) => {
  if (hostname === 'localhost' || isIP(hostname) > 0) return lookup(hostname, ...rest);
  const error = new Error(`getaddrinfo ENOTFOUND ${hostname}`);
  Object.assign(error, { code: 'ENOTFOUND', errno: -3008, syscall: 'getaddrinfo', hostname });
  process.nextTick(rest.at(-1), error);
};
syncBuiltinESMExports();
