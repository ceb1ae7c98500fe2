import Daemon

MartletCommand.prepare()
await MartletCommand.launch()
