import type { Logger } from '../types.ts';

/** A private member that this library uses where it is, and that the installed version has elsewhere. */
export function memberMoved(logger: Logger, of: 'Node.js', member: string, lost: string): void {
  logger.warn(
    { member },
    `This version of ${of} has no ${member}: ${lost}. Tell us, with the version, so that the next release knows it`,
  );
}
