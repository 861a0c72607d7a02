/** What all views of one store object use: the first view opens it, and the close of the last view closes it. */
export class SharedResource<T extends { close(): void | Promise<void> }> {
  #opened: Promise<T> | undefined;
  #views = 0;

  /** Makes a view. When `openResource` or `makeView` fails, this view counts as released. */
  async view<View>(openResource: () => Promise<T>, makeView: (resource: T) => View | Promise<View>): Promise<View> {
    this.#views += 1;
    try {
      return await makeView(await (this.#opened ??= openResource()));
    } catch (error) {
      await this.release();
      throw error;
    }
  }

  /** Call it once per view. A view that is made while the last one closes opens the resource again. */
  async release(): Promise<void> {
    this.#views -= 1;
    if (this.#views > 0) return;
    const opened = this.#opened;
    this.#opened = undefined;
    await (await opened?.catch(() => undefined))?.close();
  }
}
