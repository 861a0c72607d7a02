/** Calls a function of the application. What it throws or rejects with goes to `failed`, and no further. */
export function guardedCall(call: () => unknown, failed: (cause: unknown) => void): void {
  try {
    const done = call();
    if (done instanceof Promise) done.catch(failed);
  } catch (cause) {
    failed(cause);
  }
}
