import type { FastifyInstance, FastifySchema } from 'fastify'
import type { OperationName } from './api/describe.ts'

/** What a route checks of a request. It stands in the description too, as it is. */
export type Checked = Pick<FastifySchema, 'querystring' | 'body'>

/** Makes the schema of a route. */
export type Describe = (operation: OperationName, checked?: Checked) => FastifySchema

/** Compiles no check: a schema describes what its route judges for itself. */
export const unchecked = (): (() => boolean) => () => true

/**
 * How the routes of `app` are described: in full where the host has `@fastify/swagger`, which reads that as the routes
 * are added. Everybody else has no use for it, and pays for nothing.
 */
export async function describeFor(app: FastifyInstance): Promise<Describe> {
  if (!app.hasPlugin('@fastify/swagger')) return (_operation, checked = {}) => checked
  const { addModels, describe } = await import('./api/describe.ts')
  addModels(app)
  return describe
}
