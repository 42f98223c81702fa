/** What is left of a name when nobody cares how its words are put together. */
export const letters = (name: string): string => name.toLowerCase().replace(/[-_]/g, "")
