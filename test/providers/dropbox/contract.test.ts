import t from 'tap'
import { backendContract } from '../../contract/backend.ts'
import { harness } from '../../contract/harness/dropbox.ts'
import { throughAllLayers } from '../../contract/layers.ts'
import { oneCreatorWins } from '../../contract/suite/replaces-with-conditions.ts'

t.test('the contract', async (t) => {
  backendContract(t, harness)
  oneCreatorWins(t, harness.open)
})

t.test('the contract through all layers', async (t) => {
  backendContract(t, harness, { wrap: throughAllLayers() })
})
