/** A process of the demo ends with its parent, however that dies: the channel between them closes. */
export function endWithParent(): void {
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
}

/** Errors are ignored: `disconnect` reports the death of the parent. */
export function tellParent(message: object): void {
  process.send?.(message, () => {});
}
