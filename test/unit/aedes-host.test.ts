import { AedesHost } from '../../broker/mqtt/aedes.js'
import { recordingLogger } from '../support/recording-logger.js'

/** The private part of Aedes that keeps sessions which ended: pinned with its version (docs/adr/001). */
interface Kept { broker: { expiringSessions: Map<string, unknown>, scheduleSessionExpiry (client: object): void } }

test('Aedes keeps no connection that is gone: when its session ends stands in the device’s record', async () => {
  const host = await AedesHost.create({
    logger: recordingLogger(), persistence: { setup: async () => {}, destroy: async () => {} } as never, ordinary: {} as never, granted: () => {}, ready: () => {}
  })
  const { broker } = host as unknown as Kept
  expect(broker.expiringSessions.size).toBe(0)
  for (const seconds of [0, 60, 0xffffffff]) broker.scheduleSessionExpiry({ id: `alice/${seconds}`, version: 5, sessionExpiryInterval: seconds })
  expect(broker.expiringSessions.size).toBe(0)
  await host.close()
})
