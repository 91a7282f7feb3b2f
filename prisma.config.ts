import { defineConfig } from 'prisma/config'

const url = process.env['DATABASE_URL']

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  // `generate` and the drift check need no database, and must not ask for the name of one.
  ...(url === undefined ? {} : { datasource: { url } })
})
