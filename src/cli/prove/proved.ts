/** The variable that makes `sojourn serve` and `sojourn stdio` an instance of `sojourn prove`. The module does not see it. */
export const PROVED = 'SOJOURN_PROVED';
