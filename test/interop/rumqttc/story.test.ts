import { chats } from '../story.js'
import { rumqttc } from './library.js'

chats(rumqttc)
