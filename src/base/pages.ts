/** The pages of a list in a store. Each is read when the one before has been dealt with. */
export async function* pagesOf<Page extends { readonly nextCursor?: string }>(
  read: (cursor: string | undefined) => Page | Promise<Page>,
): AsyncGenerator<Page, void> {
  let cursor: string | undefined;
  do {
    const page = await read(cursor);
    yield page;
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}
