import t from 'tap'
import { backendContract } from '../contract/backend.ts'
import { harness } from '../contract/harness/google-drive.ts'

t.test('the contract', async (t) => {
  backendContract(t, harness)
})
