import t from 'tap'
import { backendContract } from '../../contract/backend.ts'
import { harness, openOneDrive } from '../../contract/harness/onedrive.ts'
import { withAllLayers } from '../../contract/layers.ts'
import { singleCreatorWins } from '../../contract/suite/replaces-with-conditions.ts'
import { FakeGraph } from '../../fakes/graph/fake-graph.ts'

t.test('the contract', async (t) => {
  backendContract(t, harness)
  singleCreatorWins(t, harness.open)
})

t.test('the contract, for a personal account', async (t) => {
  backendContract(t, { ...harness, open: async (t) => openOneDrive(t, await FakeGraph.start(t, { kind: 'personal' })) })
})

t.test('the contract through all layers', async (t) => {
  backendContract(t, harness, { wrap: withAllLayers() })
})
