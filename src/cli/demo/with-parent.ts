/** A process of the demo ends with its parent, however that dies: the channel between them closes. */
export function endWithParent(): void {
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
}

/** It may have ended. */
export function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has.
  }
}

/** Errors are ignored: `disconnect` reports the death of the parent. */
export function tellParent(message: object): void {
  process.send?.(message, () => {});
}
