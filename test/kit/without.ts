/** `of` without `member`, for code that is not its own. Methods run on `of`. */
export function without<T extends object>(of: T, member: string): T {
  return new Proxy(of, {
    has: (_, name) => name !== member && name in of,
    get: (_, name) => {
      if (name === member) return undefined;
      const value: unknown = Reflect.get(of, name, of);
      return typeof value === 'function' && name !== 'constructor'
        ? (value.bind(of) as unknown)
        : value;
    },
    set: (_, name, value) => Reflect.set(of, name, value, of),
  });
}
