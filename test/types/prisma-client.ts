// Compiled, never run: which Prisma clients the plugin takes.
import { expectTypeOf } from 'expect-type'
import type { PrismaClient } from '../../src/generated/prisma/client.ts'
import type { PrismaLike } from '../../src/infra/db/prisma-client.ts'

declare function take(prisma: PrismaLike): void
declare const prisma: PrismaClient

// Our own generated client.
take(prisma)

// A host's, with models beside ours.
declare const hosts: PrismaClient & { readonly invoice: PrismaClient['document'] }
take(hosts)

// An extended one: with a method of its own, with a computed field, with a wrapper around every query.
const extended = prisma.$extends({
  client: { hello: () => 'hello' },
  result: { cloudConnection: { title: { needs: { label: true }, compute: ({ label }) => label.toUpperCase() } } },
  query: { $allModels: { $allOperations: ({ args, query }) => query(args) } }
})
take(extended)

// @ts-expect-error a client without our connections
take({} as Omit<PrismaClient, 'cloudConnection'>)
// @ts-expect-error a client without our OAuth states
take({} as Omit<PrismaClient, 'oAuthState'>)
// @ts-expect-error a client whose connections lack our columns
take({} as Omit<PrismaClient, 'cloudConnection'> & { cloudConnection: PrismaClient['document'] })
// @ts-expect-error the client of a transaction, in which no other could be begun
take({} as Omit<PrismaClient, '$transaction'>)

expectTypeOf<PrismaClient>().toExtend<PrismaLike>()
