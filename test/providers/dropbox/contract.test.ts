import t from 'tap'
import { backendContract } from '../../contract/backend.ts'
import { harness } from '../../contract/harness/dropbox.ts'
import { withAllLayers } from '../../contract/layers.ts'
import { singleCreatorWins } from '../../contract/suite/replaces-with-conditions.ts'

t.test('the contract', async (t) => {
  backendContract(t, harness)
  singleCreatorWins(t, harness.open)
})

t.test('the contract through all layers', async (t) => {
  backendContract(t, harness, { wrap: withAllLayers() })
})
