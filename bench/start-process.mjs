// A child process of `import-time.mjs`: registers the plugin with four providers and prints, as JSON, the files of
// their SDKs that it has required. Its imports are recorded from outside.
import { createRequire } from 'node:module'
import Fastify from 'fastify'
import cloudStorage from '../dist/index.js'
import { openDatabase } from '../dist/db/open-database.js'

const database = await openDatabase()
const registration = { clientId: 'id', clientSecret: 'secret' }
const app = Fastify()
await app.register(cloudStorage, {
  prisma: database.prisma,
  authenticate: () => 'ann',
  encryption: { current: 'k1', keys: { k1: Buffer.alloc(32, 'k').toString('base64') } },
  publicUrl: 'https://app.example.org',
  managed: {
    store: {
      type: 's3',
      region: 'eu-central-1',
      bucket: 'bucket',
      credentials: { accessKeyId: 'a', secretAccessKey: 's' }
    }
  },
  providers: { google_drive: registration, onedrive: registration, s3: true, webdav: true }
})
await app.ready()
const { cache } = createRequire(import.meta.url)
const files = Object.keys(cache).filter((path) => /\/node_modules\/(?:googleapis|@aws-sdk)\//.test(path))
console.log(JSON.stringify(files))
await app.close()
await database.close()
