import Daemon

MartletCommand.launch()
