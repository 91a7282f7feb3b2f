import type { FastifyInstance, FastifySchema } from 'fastify'
import type { OperationName } from './route-schemas.ts'

/** The schemas by which a route validates requests. The description contains them unchanged. */
export type Checked = Pick<FastifySchema, 'querystring' | 'body'>

/** Returns the schema of a route. */
export type Describe = (operation: OperationName, checked?: Checked) => FastifySchema

/** Compiles a validator that accepts everything, for routes that validate the request themselves. */
export const unchecked = (): (() => boolean) => () => true

/**
 * Returns the function that describes the routes of `app`. It loads the full descriptions only if the host has
 * `@fastify/swagger`, which reads them as the routes are added.
 */
export async function describeFor(app: FastifyInstance): Promise<Describe> {
  if (!app.hasPlugin('@fastify/swagger')) return (_operation, checked = {}) => checked
  const { addModels, describe } = await import('./route-schemas.ts')
  addModels(app)
  return describe
}
