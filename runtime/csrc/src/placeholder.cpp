namespace edge {}
