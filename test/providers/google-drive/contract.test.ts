import t from 'tap'
import { backendContract } from '../../contract/backend.ts'
import { harness } from '../../contract/harness/google-drive.ts'
import { withAllLayers } from '../../contract/layers.ts'

t.test('the contract', async (t) => {
  backendContract(t, harness)
})

t.test('the contract through all layers', async (t) => {
  backendContract(t, harness, { wrap: withAllLayers() })
})
