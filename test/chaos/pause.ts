/** Time that passes between two acts of a client or a fault; nothing is expected to have happened by then. */
export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** What a promise resolves with, or undefined when it does not within `ms`. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((done) => {
    timer = setTimeout(() => done(undefined), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
