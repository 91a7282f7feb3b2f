/**
 * Compares two strings by their UTF-8 bytes without encoding them: the order in which S3 lists keys. JavaScript's `<`
 * compares UTF-16 units and puts characters above U+FFFF before U+E000 to U+FFFF.
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const x = a.charCodeAt(index)
    const y = b.charCodeAt(index)
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

/** Ranks surrogates, which represent everything above U+FFFF, after the units that UTF-8 sorts before them. */
function rank(unit: number): number {
  if (unit >= 0xe000) return unit - 0x800
  return unit >= 0xd800 ? unit + 0x2000 : unit
}
