import type { Egress } from '../../domain/egress.ts'
import { Diagnosis } from '../../domain/errors.ts'
import { providerFailure } from '../../domain/provider-failure.ts'
import { describeExchange } from '../../infra/net/redact.ts'
import { asObject } from '../shared/read-json.ts'
import { readProblem } from '../shared/read-problem.ts'

const SCOPE = /^[a-z_]{1,40}(?:\.[a-z_]{1,40}){1,3}$/

/**
 * Wraps an egress to distinguish a missing scope from an expired token. Dropbox reports both as 401, and a refreshed
 * token would have the same scopes.
 *
 * @param withinMs the deadline for reading the body of a 401
 * @returns an egress that throws StorageError `INSUFFICIENT_SCOPE`
 */
export function withMissingScope(egress: Egress, withinMs: number): Egress {
  return {
    agents: egress.agents,
    clock: egress.clock,
    transferAgents: egress.transferAgents,
    assertAllowed: (url) => {
      egress.assertAllowed(url)
    },
    request: async (request) => {
      const answer = await egress.request(request)
      if (answer.status !== 401) return answer
      const problem = asObject(await readProblem(answer, withinMs))
      request.signal.throwIfAborted()
      const error = asObject(problem['error'])
      if (error['.tag'] !== 'missing_scope') return answer
      const scope = error['required_scope']
      const which = typeof scope === 'string' && SCOPE.test(scope) ? `: ${scope}` : ''
      const cause = new Diagnosis(`${describeExchange(request.method, request.url, answer)}, missing_scope${which}`)
      throw providerFailure('INSUFFICIENT_SCOPE', { cause })
    }
  }
}
