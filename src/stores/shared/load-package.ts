/** Store clients are optional packages, loaded when a store is opened. */
import { storeAway } from '../../errors.ts';

/** The error for a package that could not be loaded. `store`: the function that needs it, e.g. `redis()`. */
export function packageFailure(store: string, name: string, cause: unknown): Error {
  const why = isPackageMissing(cause)
    ? `is not installed (it is optional): npm install ${name}`
    : `could not be loaded (${messageOf(cause)}): install it again, npm install ${name}`;
  return storeAway(`${store} needs the package ${name}, which ${why}`, cause);
}

/** The package, or a package that it needs, is not installed. */
export function isPackageMissing(cause: unknown): boolean {
  const { code } = cause as { readonly code?: unknown };
  return code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
}

const messageOf = (cause: unknown): string => String((cause as { readonly message?: unknown }).message);
