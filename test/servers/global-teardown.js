import { endServers } from './end.js'

export default function () { endServers(process.env.PARLEY_TEST_RUN) }
