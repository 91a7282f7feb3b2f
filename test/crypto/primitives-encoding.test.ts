import fc from 'fast-check'
import t from 'tap'
import { encodeFields, hashFields } from '../../src/crypto/primitives.ts'

/** All sequences of UTF-16 code units, including lone surrogates. */
const text = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 4 })
  .map((units) => String.fromCharCode(...units))

t.test('two lists of fields have the same encoding only if they are equal', async () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 4 }), fc.array(text, { maxLength: 4 }), (a, b) => {
      const equal = a.length === b.length && a.every((field, index) => field === b[index])
      return encodeFields(a).equals(encodeFields(b)) === equal && hashFields(a).equals(hashFields(b)) === equal
    })
  )
})

t.test('the boundaries of fields are encoded', async (t) => {
  const lists = [[], [''], ['', ''], ['abc'], ['ab', 'c'], ['a', 'bc'], ['', 'abc'], ['abc', ''], ['c', 'ab']]
  t.equal(new Set(lists.map((fields) => encodeFields(fields).toString('hex'))).size, lists.length)
})

t.test('different lone surrogates, which are equal in UTF-8, have different encodings', async (t) => {
  const fields = ['\ud800', '\udbff', '\udc00', '\ufffd']
  t.equal(new Set(fields.map((field) => encodeFields([field]).toString('hex'))).size, fields.length)
})

t.test('a field that is an encoded list is not mistaken for a longer list', async (t) => {
  t.notOk(encodeFields([encodeFields(['a'])]).equals(encodeFields(['a'])))
})
