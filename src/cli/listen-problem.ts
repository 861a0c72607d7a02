/** What `serve` and its supervisor say of where they listen. */
import type { Logger } from '../types.ts';
import { codeOf, reason } from './failure.ts';
import { warnOfUnheldPort } from './held-socket.ts';
import type { ServeSettings } from './settings.ts';

export function warnOfSettings({ warnings, origin }: ServeSettings, fd: number | undefined, logger: Logger): void {
  for (const warning of warnings) logger.warn({}, warning);
  if (fd === undefined) warnOfUnheldPort(logger);
  if (fd !== undefined && (origin('port') ?? origin('host')) !== undefined) {
    logger.warn({}, 'a listening socket was passed to this process, so --port and --host are ignored');
  }
}

export function listenProblem(error: unknown, { host, port, origin }: ServeSettings, fd: number | undefined): string {
  if (fd !== undefined) return `cannot listen on the passed socket (file descriptor ${fd}): ${reason(error)}`;
  const where = `port ${port} on ${host}`;
  const other = `choose another port with --port (0 takes any free one)`;
  switch (codeOf(error) ?? '') {
    case 'EADDRINUSE':
      return `${where} is in use: stop the program that listens there, or ${other}`;
    case 'EACCES':
      return `this process may not listen on ${where}; ${other}`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${origin('host') ?? 'host'}: this machine has no address ${host}`;
    default:
      return `cannot listen on ${where}: ${reason(error)}`;
  }
}
