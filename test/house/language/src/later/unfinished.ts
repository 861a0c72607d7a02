/** What is left is another day's work. */
export const later = 1;
