// Prisma clients that the plugin accepts. Compiled, never run.
import { expectTypeOf } from 'expect-type'
import type { PrismaClient } from '../../src/generated/prisma/client.ts'
import type { PrismaLike } from '../../src/db/prisma-client.ts'

declare function take(prisma: PrismaLike): void
declare const prisma: PrismaClient

// The plugin's own generated client.
take(prisma)

// A host's client with additional models.
declare const hosts: PrismaClient & { readonly invoice: PrismaClient['document'] }
take(hosts)

// An extended client: with a method, with a computed field, with a wrapper around all queries.
const extended = prisma.$extends({
  client: { hello: () => 'hello' },
  result: { cloudConnection: { title: { needs: { label: true }, compute: ({ label }) => label.toUpperCase() } } },
  query: { $allModels: { $allOperations: ({ args, query }) => query(args) } }
})
take(extended)

// @ts-expect-error a client without connections
take({} as Omit<PrismaClient, 'cloudConnection'>)
// @ts-expect-error a client without OAuth states
take({} as Omit<PrismaClient, 'oAuthState'>)
// @ts-expect-error a client with connections that lack columns
take({} as Omit<PrismaClient, 'cloudConnection'> & { cloudConnection: PrismaClient['document'] })
// @ts-expect-error the client of a transaction, which cannot start another one
take({} as Omit<PrismaClient, '$transaction'>)

expectTypeOf<PrismaClient>().toExtend<PrismaLike>()
