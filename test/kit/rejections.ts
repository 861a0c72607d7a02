/** An unhandled rejection ends a real process. */
export function hearRejections(heard: (error: unknown) => void): () => void {
  const others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', heard);
  return () => {
    process.off('unhandledRejection', heard);
    for (const listener of others) process.on('unhandledRejection', listener);
  };
}
