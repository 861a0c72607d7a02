/** How the command line spells an option. */

/** `limits.bodyBytes` → `limits-body-bytes` */
export function flagName(key: string): string {
  return key.replaceAll('.', '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `limits.bodyBytes` → `SOJOURN_LIMITS_BODY_BYTES` */
export function variableName(key: string): string {
  return `SOJOURN_${flagName(key).replaceAll('-', '_').toUpperCase()}`;
}
