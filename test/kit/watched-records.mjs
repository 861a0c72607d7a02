/** A store whose calls about one kind of records are watched, for servers that kill themselves around a write. */
export function withWatchedRecords(store, kind, { before = async () => {}, after = async () => {} }) {
  const watched = (records) =>
    new Proxy(records, {
      get(of, name) {
        const method = Reflect.get(of, name);
        if (typeof method !== 'function') return method;
        return async (...given) => {
          await before(name, given);
          const outcome = await method.apply(of, given);
          await after(name, given);
          return outcome;
        };
      },
    });
  return {
    kind: store.kind,
    durable: store.durable,
    inProcess: store.inProcess,
    async open(options) {
      const view = await store.open(options);
      const records = (of) => (of.name === kind ? watched(view.records(of)) : view.records(of));
      return new Proxy(view, {
        get: (on, name) => {
          const member = Reflect.get(on, name);
          if (name === 'records') return records;
          return typeof member === 'function' ? member.bind(on) : member;
        },
      });
    },
  };
}
