import type { FastifyInstance, FastifySchema } from 'fastify'
import type { OperationName } from './route-schemas.ts'

/** The schemas by which a route validates requests. The description contains them unchanged. */
export type RequestSchemas = Pick<FastifySchema, 'querystring' | 'body'>

/** Returns the schema of a route. */
export type DescribeRoute = (operation: OperationName, requestSchemas?: RequestSchemas) => FastifySchema

/** Compiles a validator that accepts everything, for routes that validate the request themselves. */
export const skipValidation = (): (() => boolean) => () => true

/**
 * Returns the function that describes the routes of `app`. It loads the full descriptions only if the host has
 * `@fastify/swagger`, which reads them as the routes are added.
 */
export async function createDescribeRoute(app: FastifyInstance): Promise<DescribeRoute> {
  if (!app.hasPlugin('@fastify/swagger')) return (_operation, requestSchemas = {}) => requestSchemas
  const { addModels, describe } = await import('./route-schemas.ts')
  addModels(app)
  return describe
}
