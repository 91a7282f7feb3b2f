/** Runs in its own process, for `start-up.test.ts`: starts an app, lists a bucket folder, and marks each step. */
import { randomBytes } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { buildApp } from 'fauxqs'
import Fastify from 'fastify'
import cloudStorage from '../../../src/index.ts'
import { openDatabase } from '../../../src/db/open-database.ts'
import { migratedImage } from '../database/database-image.ts'

function mark(step: string): void {
  appendFileSync(process.env.IMPORT_LOG ?? '', `# ${step}\n`)
}

const s3 = buildApp({ logger: false })
const endpoint = await s3.listen({ host: '127.0.0.1', port: 0 })
await fetch(`${endpoint}/bucket`, { method: 'PUT' })
const db = await openDatabase({ image: await migratedImage() })

mark('start')
const app = Fastify({ pluginTimeout: 0 })
await app.register(cloudStorage, {
  prisma: db.prisma,
  authenticate: () => 'ann',
  encryption: { current: 'k1', keys: { k1: randomBytes(32).toString('base64') } },
  managed: {
    minio: { type: 's3', endpoint, bucket: 'bucket', credentials: { accessKeyId: 'a', secretAccessKey: 's' } }
  },
  providers: { s3: { allowHosts: [new URL(endpoint).host] } }
})
await app.ready()
await app.inject('/cloud/providers')
await app.inject('/cloud/s3/listing')
mark('ready')
const payload = { endpoint, bucket: 'bucket', accessKeyId: 'a', secretAccessKey: 's' }
const connected = await app.inject({ method: 'POST', url: '/cloud/connections/s3', payload })
const listed = await app.inject('/cloud/s3/listing')
mark(`answered ${connected.statusCode} ${listed.statusCode}`)
await app.close()
await s3.close()
await db.close()
