import t from 'tap'
import { inspect } from 'node:util'
import { Secret } from '../../src/core/secret.ts'

t.test('only reveal() returns the secret', async (t) => {
  const secret = new Secret('hunter2')
  t.equal(secret.reveal(), 'hunter2')
  for (const shown of [
    String(secret),
    ['', secret].join(''),
    JSON.stringify({ secret }),
    inspect(secret),
    inspect({ secret }, { depth: 9, showHidden: true })
  ]) {
    t.notMatch(shown, 'hunter2')
    t.match(shown, '[secret]')
  }
})
