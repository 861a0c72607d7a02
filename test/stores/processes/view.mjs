/** What `openView` of `test/store-contract/view.ts` does, for programs that run with another build. */
export async function openView(store, { keepMs, log, ...options }) {
  const kind = { name: 'things', log, keepMs, listed: true };
  const open = await store.open({ ...options, kinds: [kind] });
  return { records: open.records(kind), instances: open.instances, close: () => open.close() };
}
