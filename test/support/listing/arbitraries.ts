import fc from 'fast-check'

const codePoint = fc.oneof(
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0x7f }) },
  { weight: 2, arbitrary: fc.oneof(fc.integer({ min: 0, max: 0xd7ff }), fc.integer({ min: 0xe000, max: 0x10ffff })) }
)

/**
 * Strings of any code points except surrogates. fast-check's unit `binary` gives the same, but enumerating them costs
 * each process a second of CPU time.
 */
export function anyText(constraints: fc.ArrayConstraints = {}): fc.Arbitrary<string> {
  return fc.array(codePoint, constraints).map((points) => String.fromCodePoint(...points))
}
