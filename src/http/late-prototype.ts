/**
 * Stands for another object in a prototype chain, and asks for it when something looks that far: `instanceof`, or a
 * property that nothing before it has. Naming `Request` or `Headers` makes Node load its web client, and HTTP/2 and TLS
 * with it: 10 to 25 ms of a start-up, for a prototype that most processes never look at.
 */
export function latePrototype(read: () => object): object {
  return new Proxy(
    {},
    {
      getPrototypeOf: read,
      get: (_target, key, receiver) => Reflect.get(read(), key, receiver) as unknown,
      has: (_target, key) => Reflect.has(read(), key),
    },
  );
}
