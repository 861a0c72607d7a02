/**
 * Settles as `work` does. A rejection for which `isOurs` is true counts as handled: code of the application may have
 * several promises open when its work is stopped, and an unhandled rejection ends the process.
 */
export function handledIf<T>(isOurs: (cause: unknown) => boolean, work: Promise<T>): Promise<T> {
  const told = new Promise<T>((resolve, reject) => {
    work.then(resolve, (cause: unknown) => {
      if (isOurs(cause)) told.catch(() => {});
      reject(cause);
    });
  });
  return told;
}
